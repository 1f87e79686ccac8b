import type { Socket } from 'node:net'

const resetting = new WeakSet<Socket>()

/**
 * Resets a connection, once. One that is just being ended is closed instead: Node 20 cannot reset it (EINVAL), forgets
 * it half closed, and then never comes to the end of its own exit.
 */
export function reset(socket: Socket): void {
  if (socket.destroyed || resetting.has(socket)) return
  resetting.add(socket)
  if (socket.writableEnded && !socket.writableFinished) socket.destroy()
  else socket.resetAndDestroy()
}
