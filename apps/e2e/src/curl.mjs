// What the README uses of curl, for a machine that has none: -s, -H, -d and an address.
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  options: {
    silent: { type: 'boolean', short: 's' },
    header: { type: 'string', short: 'H', multiple: true },
    data: { type: 'string', short: 'd' },
  },
  allowPositionals: true,
});
const headers = values.header.map((header) => header.split(/: (.*)/, 2));
const response = await fetch(positionals[0], { method: values.data === undefined ? 'GET' : 'POST', headers, body: values.data });
process.stdout.write(await response.text());
