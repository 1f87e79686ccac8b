import { serve } from '../serve.js'
import { PlatformaticDriver } from './platformatic-driver.js'

await serve(new PlatformaticDriver())
