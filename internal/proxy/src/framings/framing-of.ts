import type { Framing, Protocol } from '../framing.js'
import { kafkaFraming } from './kafka.js'
import { postgresFraming } from './postgres.js'
import { redisFraming } from './redis.js'

const framings = {
  kafka: kafkaFraming,
  postgres: postgresFraming,
  redis: redisFraming,
} as const satisfies Record<Protocol, Framing>

export const framingOf = (protocol: Protocol): Framing => framings[protocol]
