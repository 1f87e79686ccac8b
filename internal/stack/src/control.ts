/**
 * How `pnpm stack` talks to the supervisor of its checkout: a Unix socket named after the checkout's path. Whether one
 * runs is whether somebody listens, so there is no state file that could outlive a killed supervisor.
 */
import { once } from 'node:events'
import { unlinkSync } from 'node:fs'
import { unlink } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { digest } from './cache.js'
import type { StackAddresses } from './environment.js'

export type ControlRequest = 'status' | 'stop'

/** The answer to `status`. `stop` is answered by the end of the connection, when all is gone. */
export interface ControlStatus {
  readonly pid: number
  /** False while services are still starting. */
  readonly ready: boolean
  readonly addresses: StackAddresses
}

const checkout = fileURLToPath(new URL('../../..', import.meta.url))

/** One socket per checkout and user, so that two checkouts have a stack each. */
const controlFile = (): string =>
  path.join(tmpdir(), `oncebox-${digest(checkout)}-${process.getuid?.()}.sock`)

/** The open connection to the supervisor, or undefined when none runs. */
const reach = async (file: string): Promise<Socket | undefined> => {
  const socket = connect(file)
  try {
    await once(socket, 'connect')
    return socket.on('error', () => socket.destroy())
  } catch {
    return undefined
  }
}

/** Sends one request and resolves with everything answered until the supervisor hangs up; undefined when none runs. */
export const askSupervisor = async (request: ControlRequest): Promise<string | undefined> => {
  const socket = await reach(controlFile())
  if (socket === undefined) return undefined
  socket.write(`${request}\n`)
  const parts: Buffer[] = []
  socket.on('data', (part: Buffer) => parts.push(part))
  await new Promise((resolve) => socket.once('close', resolve))
  return Buffer.concat(parts).toString()
}

/** The supervisor's state, or undefined when none runs. */
export const readStatus = async (): Promise<ControlStatus | undefined> => {
  const answer = await askSupervisor('status')
  // Written by serveControl below, of the same build.
  return answer === undefined || answer === '' ? undefined : (JSON.parse(answer) as ControlStatus)
}

export interface ControlHandlers {
  readonly status: () => ControlStatus
  readonly stop: () => Promise<void>
}

const answer = async (socket: Socket, handlers: ControlHandlers): Promise<void> => {
  socket.on('error', () => socket.destroy())
  const [line] = (await once(socket, 'data').catch(() => [''])) as [Buffer | string]
  if (line.toString().trim() === 'stop') await handlers.stop()
  socket.end(line.toString().trim() === 'status' ? JSON.stringify(handlers.status()) : '')
}

const listen = (server: Server, file: string): Promise<boolean> =>
  new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
    )
    server.listen(file, () => resolve(true))
  })

const unlinkQuietly = (file: string): void => {
  try {
    unlinkSync(file)
  } catch {
    // Somebody was faster.
  }
}

/** Becomes the supervisor of this checkout; false when there is one already. */
export const serveControl = async (handlers: ControlHandlers): Promise<boolean> => {
  const file = controlFile()
  const server = createServer((socket) => void answer(socket, handlers))
  if (!(await listen(server, file))) {
    const other = await reach(file)
    other?.destroy()
    if (other !== undefined) return false
    await unlink(file).catch(() => undefined) // left behind by a killed one
    if (!(await listen(server, file))) return false
  }
  process.once('exit', () => unlinkQuietly(file))
  return true
}
