// The least that an answer over HTTP needs: `node:http`, one look at a header, a few bytes of JSON. Its parent asks, and ends it.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const BODY = JSON.stringify({ content: 'x'.repeat(40) });

const server = createServer((request, response) => {
  response
    .writeHead(request.headers.authorization === undefined ? 401 : 200, {
      'content-type': 'application/json',
      'content-length': BODY.length,
    })
    .end(BODY);
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.once('disconnect', () => process.exit(0));
