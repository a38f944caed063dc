import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** Kafka's number of the produce request (protocol guide, "Api Keys"). */
const PRODUCE = 0;
const SIZE_BYTES = 4;
/** A request's first fields: its API's number and version, two bytes each, then its own number. A response begins with that number. */
const API_AT = SIZE_BYTES;
const REQUEST_NUMBER_AT = SIZE_BYTES + 4;
const RESPONSE_NUMBER_AT = SIZE_BYTES;

/** What becomes of the connection on which an answer was dropped: it goes on as if nothing had been, or it breaks. */
export type Afterwards = 'silence' | 'cut';

interface Trap {
  afterwards: Afterwards;
  dropped: () => void;
}

/** A server in front of Kafka's brokers that hands everything on, but for the answers that it is told to drop. */
export class KafkaProxy {
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Socket>();
  #trap: Trap | null = null;

  /** Listens in front of one more broker. Answers the port of 127.0.0.1 to find it at. */
  async before(address: string): Promise<number> {
    const [host, port] = address.split(':') as [string, string];
    const server = createServer((client) => this.#accept(client, connect({ host, port: Number(port) })));
    this.#servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  /** Drops the next answer to a produce request that a broker gives, whichever that is. Resolves once it is dropped. One trap at a time. */
  dropNextAnswer(afterwards: Afterwards): Promise<void> {
    return new Promise((dropped) => (this.#trap = { afterwards, dropped }));
  }

  async stop(): Promise<void> {
    for (const connection of this.#connections) connection.destroy();
    await Promise.all(this.#servers.map((server) => once(server.close(), 'close')));
  }

  #accept(client: Socket, broker: Socket): void {
    const produces = new Set<number>();
    const requests = new FrameReader();
    const responses = new FrameReader();
    client.on('data', (chunk: Buffer) => {
      for (const frame of requests.push(chunk))
        if (frame.readInt16BE(API_AT) === PRODUCE) produces.add(frame.readInt32BE(REQUEST_NUMBER_AT));
      broker.write(chunk);
    });
    broker.on('data', (chunk: Buffer) => {
      for (const frame of responses.push(chunk)) {
        const isProduce = produces.delete(frame.readInt32BE(RESPONSE_NUMBER_AT));
        if (!isProduce || this.#trap === null) client.write(frame);
        else if (this.#drop(this.#trap) === 'cut') return void client.destroy();
      }
    });
    for (const [one, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      this.#connections.add(one);
      one.setNoDelay(true);
      // A broken connection is what this is for, and no error.
      one
        .on('error', () => other.destroySoon())
        .on('close', () => {
          this.#connections.delete(one);
          other.destroySoon();
        });
    }
  }

  #drop({ afterwards, dropped }: Trap): Afterwards {
    this.#trap = null;
    dropped();
    return afterwards;
  }
}

/** Cuts one direction of a connection into frames, each with its size in front, whatever pieces its bytes come in. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Buffer[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const frames: Buffer[] = [];
    while (this.#rest.length >= SIZE_BYTES) {
      const end = SIZE_BYTES + this.#rest.readInt32BE(0);
      if (this.#rest.length < end) break;
      frames.push(this.#rest.subarray(0, end));
      this.#rest = this.#rest.subarray(end);
    }
    return frames;
  }
}
