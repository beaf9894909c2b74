// The table of runs, drawn in the browser from plain rows: as elements of the server's it took ten times as long.
// Everything is bound as text or as an address that the server made; nothing is markup.
export default {
  props: { columns: Array, rows: Array, chosen: Array },
  emits: ["tick"],
  template: `
    <table class="table runs-table">
      <thead>
        <tr>
          <th class="tick" scope="col">
            <input type="checkbox" class="checkbox" aria-label="Select all of this page"
              :checked="rows.length > 0 && chosen.length === rows.length"
              @change="$emit('tick', { ids: rows.map((row) => row.id), on: $event.target.checked })" />
          </th>
          <th v-for="(column, place) in columns" :key="column.name" scope="col" :class="kind(column, place)"
            :aria-sort="column.order || null">
            <a class="sort" :href="column.address">{{ column.title }}<i v-if="column.order"
              class="material-icons" aria-hidden="true">{{
                column.order === "ascending" ? "arrow_upward" : "arrow_downward" }}</i></a>
          </th>
        </tr>
      </thead>
      <tbody>
        <tr v-for="row in rows" :key="row.id">
          <td class="tick">
            <input type="checkbox" class="checkbox" :aria-label="'Select ' + row.id"
              :checked="chosen.includes(row.id)"
              @change="$emit('tick', { ids: [row.id], on: $event.target.checked })" />
          </td>
          <td :class="kind(columns[0], 0)">
            <a class="strong" :href="row.address">{{ row.title }}</a>
            <div v-if="row.about" class="small muted cut note">{{ row.about }}</div>
          </td>
          <td v-for="(cell, place) in row.cells" :key="place"
            :class="[kind(columns[place + 1], place + 1), cell.wrong ? 'bad small' : cell.whole ? 'nowrap' : '']">
            <span v-if="cell.mark" :class="'status status-' + cell.mark">{{ cell.text }}</span>
            <template v-else-if="cell.tags"><a v-for="tag in cell.tags" :key="tag.text" class="chip"
              :href="tag.address">{{ tag.text }}</a></template>
            <template v-else>{{ cell.text }}<div v-if="cell.more" class="small muted">{{ cell.more }}</div></template>
          </td>
        </tr>
      </tbody>
    </table>
  `,
  mounted() { this.place(); },
  updated() { this.place(); },
  methods: {
    kind(column, place) {
      return [column.wide ? "wide" : "", column.pinned ? `pinned pinned-${place}` : ""];
    },
    // Pinned columns stand beside each other at the left edge, each as wide as its content makes it.
    place() {
      let left = 0;
      const heads = this.$el.querySelectorAll("thead th");
      this.columns.forEach((column, place) => {
        if (!column.pinned) return;
        for (const cell of this.$el.querySelectorAll(`.pinned-${place}`)) cell.style.left = `${left}px`;
        left += heads[place + 1].offsetWidth;
      });
    },
  },
};
