import { Handler, Id } from '@kms/contracts';
import { z } from 'zod';
import type { HttpClient } from './http-client.ts';
import { parseReceipt, type Receipt } from './receipt.ts';

const count = z.number().int().min(0);
const element = { id: Id, name: z.string(), handler: Handler };
const Revealed = z.object({ content: z.string(), encoding: z.enum(['base64', 'utf8']).optional() });
// More members may stand beside the documented ones, and are handed on.
const Inventory = z.looseObject({
  entities: z.literal('KMSEntry'),
  count,
  per_page: count,
  pages: z.looseObject({ current: count, max: count }),
  elements: z.array(z.looseObject(element)),
});
const Configuration = z.looseObject({ ...element, whitelist: z.array(z.string()), properties: z.record(z.string(), z.string()) });

export type KmsInventory = z.infer<typeof Inventory>;
export type KmsConfiguration = z.infer<typeof Configuration>;

export interface RevealedSecret {
  content: string;
  /** Stands only beside content that is base64. */
  encoding?: 'base64' | 'utf8';
  /** What the answer says of its record, where it says so. */
  receipt: Receipt | null;
}

/** The secrets. A refusal is an Error whose message is what the service says. */
export class KmsClient {
  readonly #http: HttpClient;

  constructor(http: HttpClient) {
    this.#http = http;
  }

  /** A secret's content: of its current version, or of the one given. Throws a `KmsError`. */
  async reveal(handler: string, { version }: { version?: number } = {}): Promise<RevealedSecret> {
    const query = version === undefined ? '' : `?version=${encodeURIComponent(version)}`;
    const { value, headers } = await this.#http.getJson(`/kms/reveal/${encodeURIComponent(handler)}.json${query}`, Revealed);
    const header = headers.get('audit-record');
    const receipt = header === null ? null : parseReceipt(header);
    return value.encoding === undefined
      ? { content: value.content, receipt }
      : { content: value.content, encoding: value.encoding, receipt };
  }

  /** One page of the inventory. Throws a `KmsError`. */
  async list({ size = 100, page = 1 }: { size?: number; page?: number } = {}): Promise<KmsInventory> {
    return (await this.#http.getJson(`/kms.json?size=${encodeURIComponent(size)}&page=${encodeURIComponent(page)}`, Inventory)).value;
  }

  /** An entry's configuration, which never has its content. Throws a `KmsError`. */
  async get(handler: string): Promise<KmsConfiguration> {
    return (await this.#http.getJson(`/kms/${encodeURIComponent(handler)}.json`, Configuration)).value;
  }
}
