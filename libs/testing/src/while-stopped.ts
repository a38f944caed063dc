/** Stops processes, as a machine that stands still would: their connections stay. They go on once `work` is done. */
export async function whileStopped<T>(pids: readonly number[], work: () => Promise<T>): Promise<T> {
  signal(pids, 'SIGSTOP');
  try {
    return await work();
  } finally {
    signal(pids, 'SIGCONT');
  }
}

/** Sends a signal to those of the processes that are still there. */
function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}
