import { databaseContract } from '@internal/contracts'
import { pgAdapter } from './adapters.js'

databaseContract(pgAdapter)
