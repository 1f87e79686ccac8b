/** The nine processes of the flow: each service, the relay of its outbox, and the worker that sends the mails. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const serviceNames = ['order', 'payment', 'inventory', 'notification'] as const

/** A service of the flow; it has a database of its own. */
export type ServiceName = (typeof serviceNames)[number]

/** What it takes to start a process. */
export interface Program {
  readonly name: string
  readonly arguments: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

export interface Addresses {
  readonly databaseUrls: Readonly<Record<ServiceName, string>>
  readonly brokers: readonly string[]
  readonly redisUrl: string
  readonly prefix: string
  readonly httpPort: number
}

const built = (file: string): string => fileURLToPath(new URL(`../${file}`, import.meta.url))

/** The program behind the command `oncebox`, as its package names it. */
function onceboxProgram(): string {
  const manifest = createRequire(import.meta.url).resolve('@oncebox/cli/package.json')
  const { bin } = JSON.parse(readFileSync(manifest, 'utf8')) as { bin: { oncebox: string } } // our own package
  return path.join(path.dirname(manifest), bin.oncebox)
}

/** Services, relays and the mail worker, told where everything is. */
export function listPrograms({ databaseUrls, brokers, redisUrl, prefix, httpPort }: Addresses): Program[] {
  const cli = onceboxProgram()
  const environment = {
    KAFKA_BROKERS: brokers.join(','),
    REDIS_URL: redisUrl,
    ORDER_FLOW_PREFIX: prefix,
    HTTP_PORT: String(httpPort),
  }
  const mailWorker = {
    name: 'mail-worker',
    arguments: [built('notification-service/mail-worker.js')],
    environment: { ...environment, DATABASE_URL: databaseUrls.notification },
  }
  const ofServices = serviceNames.flatMap((service) => {
    const own = { ...environment, DATABASE_URL: databaseUrls[service] }
    return [
      { name: `${service}-service`, arguments: [built(`${service}-service/main.js`)], environment: own },
      {
        name: `${service}-relay`,
        arguments: [cli, 'relay', '--config', built('relay.config.js')],
        environment: { ...own, RELAY_NAME: `${service}-relay` },
      },
    ]
  })
  return [...ofServices, mailWorker]
}
