import { databaseContract } from '@internal/contracts'
import { knexAdapter } from './adapters.js'

databaseContract(knexAdapter)
