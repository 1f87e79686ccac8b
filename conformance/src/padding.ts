/** Values that are to be large end in dots, which readers leave out again. */
export const pad = (value: string, bytes = 0): string => value.padEnd(bytes, '.')

export const unpad = (value: string): string => value.replace(/\.+$/, '')
