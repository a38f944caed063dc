/**
 * What `answer` comes to, or `late()` thrown where it is not settled within some milliseconds. What it comes to afterwards is nobody's
 * business any more: nothing that follows from it may reach the client.
 */
export function within<T>(milliseconds: number, answer: Promise<T>, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), Math.max(0, milliseconds));
    void answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
