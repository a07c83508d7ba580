// PostgREST's official client, asked the questions on stdin: [{ table, filters: [[column, operator, value]] }]. Prints the counts.
import { PostgrestClient } from '@supabase/postgrest-js';
import { text } from 'node:stream/consumers';

const { URL, KEY } = process.env;
// As supabase-js sets them for a legacy key.
const client = new PostgrestClient(`${URL}/rest/v1`, { headers: { apikey: KEY, Authorization: `Bearer ${KEY}` } });
const counts = [];
for (const { table, filters } of JSON.parse(await text(process.stdin))) {
  let query = client.from(table).select('*', { count: 'exact', head: true });
  for (const [column, operator, value] of filters) query = query.filter(column, operator, value);
  const { count, error, status } = await query;
  if (error || count === null) throw new Error(`HTTP status ${status}: ${JSON.stringify(error)}`);
  counts.push(count);
}
console.log(JSON.stringify(counts));
