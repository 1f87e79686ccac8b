import { serve } from '../serve.js'
import { KafkajsDriver } from './kafkajs-driver.js'

await serve(new KafkajsDriver())
