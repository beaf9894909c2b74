// How the search ranks what it finds: an option (or a public name) before the pages that mention it.
var Scorer = {
  objNameMatch: 40,
  objPartialMatch: 25,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
