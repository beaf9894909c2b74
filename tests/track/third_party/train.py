"""A training script as people find it elsewhere: nothing in it knows of ravenML."""
import argparse
import os
import sys
import time

import numpy as np
from tensorboardX import SummaryWriter

from helpers.model import Line
from helpers.reading import read_points


def main():
    parser = argparse.ArgumentParser(description="Fit a line")
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", default="output")
    args = parser.parse_args()

    here = os.path.dirname(os.path.abspath(__file__))
    x, y = read_points(os.path.join(here, "data", "points.csv"))
    os.makedirs(args.out, exist_ok=True)
    writer = SummaryWriter(os.path.join(args.out, "tb"))
    model = Line()
    print("fitting", len(x), "points with", args)
    for epoch in range(args.epochs):
        for i in range(20):
            loss = model.step(x, y, args.lr)
            sys.stderr.write("\repoch %d |%s%s| loss %.4f" % (epoch, "#" * i, " " * (19 - i), loss))
            sys.stderr.flush()
            time.sleep(0.001)
        sys.stderr.write("\n")
        writer.add_scalar("Loss/train", loss, epoch)
        writer.add_scalar("slope", model.a, epoch)
        print("epoch", epoch, "loss", loss)
    picture = np.zeros((3, 8, 12), np.uint8)
    picture[0] = 255
    writer.add_image("fit", picture, args.epochs - 1)
    writer.close()
    np.savez(os.path.join(args.out, "line.npz"), a=model.a, b=model.b)
    print("done, see", args.out)


if __name__ == "__main__":
    main()
