/** An option or a name that the command line does not know. */
export class WrongUse extends Error {}
