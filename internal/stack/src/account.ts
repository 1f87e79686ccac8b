/** Who we are, and as whom PostgreSQL runs: it refuses to run as root. */
import { readFile } from 'node:fs/promises'
import { StackError } from './stack-error.js'

/** A user and group to spawn a process as. */
export interface Account {
  readonly uid: number
  readonly gid: number
}

/** True where services must be started as somebody else, from folders that somebody else can read. */
export const isRoot = (): boolean => process.getuid?.() === 0

/** The account for a service that refuses root: none (ourselves) for ordinary users, `postgres` or `nobody` for root. */
export const unprivilegedAccount = async (): Promise<Account | undefined> => {
  if (!isRoot()) return undefined
  const users = new Map<string, Account>()
  for (const line of (await readFile('/etc/passwd', 'utf8')).split('\n')) {
    const [name, , uid, gid] = line.split(':')
    if (name !== undefined) users.set(name, { uid: Number(uid), gid: Number(gid) })
  }
  const account = users.get('postgres') ?? users.get('nobody')
  if (account === undefined) {
    throw new StackError(
      'STACK_USER_MISSING',
      'PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody`',
    )
  }
  return account
}
