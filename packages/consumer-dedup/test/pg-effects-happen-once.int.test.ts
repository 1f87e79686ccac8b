import { pgDriver } from './adapters.js'
import { inboxBody } from './inbox-body.js'

inboxBody(pgDriver)
