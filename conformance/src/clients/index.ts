import type { ClientSource } from './client-source.js'
import { confluent } from './confluent.js'
import { kafkajs } from './kafkajs.js'
import { ours } from './ours.js'
import { platformatic } from './platformatic.js'

/** In the order of the report. */
export const clientSources: readonly ClientSource[] = [ours, kafkajs, platformatic, confluent]
