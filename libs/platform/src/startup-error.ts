/** What keeps a process from starting: the message is one clear sentence for the person who starts it, without any secret. */
export class StartupError extends Error {
  override readonly name = 'StartupError';
}
