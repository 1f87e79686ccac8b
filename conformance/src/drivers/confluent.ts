import { serve } from '../serve.js'
import { ConfluentDriver } from './confluent-driver.js'

await serve(new ConfluentDriver())
