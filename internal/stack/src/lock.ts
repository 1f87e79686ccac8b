/**
 * A lock between processes that its holder cannot leave behind: a Unix socket on which the holder listens. Whoever
 * waits is connected to it, and wakes when the holder closes it or dies, so nobody polls and no lock gets stale.
 * It saves work only (no second download); what it protects must stay correct if two hold it, for a holder's death
 * and two newcomers at the same instant can make that happen.
 */
import { unlink } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'

const attemptsMax = 1000

const tryToListen = (file: string, waiters: Set<Socket>): Promise<Server | undefined> =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      waiters.add(socket)
      socket.on('close', () => waiters.delete(socket)).on('error', () => socket.destroy())
    })
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    )
    server.listen(file, () => resolve(server))
  })

/** Resolves when the holder lets go; at once when nobody holds it (a dead holder's socket file is removed). */
const waitForHolder = async (file: string, signal: AbortSignal | undefined): Promise<void> => {
  const socket = connect(file)
  try {
    await once(socket, 'connect', { signal })
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED')
      await unlink(file).catch(() => undefined)
    return
  }
  const aborted = (): void => void socket.destroy()
  signal?.addEventListener('abort', aborted, { once: true })
  socket.resume()
  await new Promise((resolve) => socket.on('error', () => undefined).once('close', resolve))
  signal?.removeEventListener('abort', aborted)
  signal?.throwIfAborted()
}

/** Runs `work` while no other process runs work under the same `file`. */
export const withLock = async <T>(file: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> => {
  const waiters = new Set<Socket>()
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const server = await tryToListen(file, waiters)
    if (server === undefined) {
      await waitForHolder(file, signal)
      continue
    }
    try {
      return await work()
    } finally {
      server.close()
      for (const socket of waiters) socket.destroy()
    }
  }
  throw new Error(`${file}: not to be had in ${attemptsMax} tries`)
}
