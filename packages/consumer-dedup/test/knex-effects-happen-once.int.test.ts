import { knexDriver } from './adapters.js'
import { inboxBody } from './inbox-body.js'

inboxBody(knexDriver)
