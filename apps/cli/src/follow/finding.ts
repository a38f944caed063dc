/** Where a message lies on the topic. */
export interface MessagePlace {
  topic: string;
  partition: number;
  offset: bigint;
}

/**
 * What must not be on the topic. `schema`: no audit event. `key`: an event under another organization's key. `conflict`: other bytes under a
 * writer's number that is taken. `chain`: an event that does not continue its writer's chain. `gap`: numbers of a writer that do not come.
 * `unread`: messages that were gone before they were read. `checkpoint`: one that cannot be believed. `shrunk`: a log that was signed smaller
 * than before. `fork`: two roots signed for one size.
 */
export type ViolationCode = 'schema' | 'key' | 'conflict' | 'chain' | 'gap' | 'unread' | 'checkpoint' | 'shrunk' | 'fork';

/** What is worth a line and is no violation. */
export type NoticeCode = 'gap-closed' | 'restarted' | 'matches' | 'not-reproduced';

interface About {
  /** One sentence. It names places, writers, numbers and organizations, and quotes nothing of a message. */
  message: string;
  place?: MessagePlace;
  writer?: string;
  /** The first number that it is about. */
  sequence?: number;
  organizationId?: string;
}

export type Finding = ({ kind: 'violation'; code: ViolationCode } & About) | ({ kind: 'notice'; code: NoticeCode } & About);

export const violation = (code: ViolationCode, message: string, about: Omit<About, 'message'> = {}): Finding => ({
  kind: 'violation',
  code,
  message,
  ...about,
});

export const notice = (code: NoticeCode, message: string, about: Omit<About, 'message'> = {}): Finding => ({
  kind: 'notice',
  code,
  message,
  ...about,
});

/** `topic/partition/offset`. */
export const placeText = ({ topic, partition, offset }: MessagePlace): string => `${topic}/${partition}/${offset}`;
