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
          <th v-for="column in columns" :key="column.name" scope="col" :class="column.phone ? '' : 'wide'"
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
          <td>
            <a class="strong" :href="row.address">{{ row.title }}</a>
            <div v-if="row.about" class="small muted cut note">{{ row.about }}</div>
          </td>
          <td><span :class="'status status-' + row.mark">{{ row.status }}</span></td>
          <td class="wide">{{ row.kind }}</td>
          <td class="wide">{{ row.dataset }}</td>
          <td class="wide nowrap">{{ row.started }}<div v-if="row.took" class="small muted">{{ row.took }}</div></td>
          <td :class="row.wrong ? 'bad small' : 'nowrap'">{{ row.score }}</td>
          <td v-for="(text, place) in row.more" :key="place">{{ text }}</td>
          <td class="wide"><a v-for="tag in row.tags" :key="tag.text" class="chip" :href="tag.address">{{ tag.text }}</a></td>
        </tr>
      </tbody>
    </table>
  `,
};
