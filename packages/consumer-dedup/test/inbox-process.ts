/** A real consumer process in the mode `inbox`, to be killed. */
import { startConsumer, type ConsumerProcess, type ProgramSettings } from '@internal/contracts/consumers'

type InboxSettings = Omit<ProgramSettings, 'mode' | 'outputTopic'>

export const startInboxProcess = (settings: InboxSettings, fault = ''): ConsumerProcess =>
  startConsumer({ ...settings, mode: 'inbox', outputTopic: settings.topic }, fault)
