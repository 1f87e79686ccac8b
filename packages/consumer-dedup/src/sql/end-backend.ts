// Ends the connection of a handler that outlived the stop timeout: its transaction is rolled back by the server and
// the driver throws the connection away, so nothing it still sends can land in somebody else's transaction. A role
// may end its own backends.
export const endBackend = `select pg_terminate_backend($1::integer) as ended`
