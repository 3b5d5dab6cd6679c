"""Pure functions on arrays: radio, queues, topologies. They depend on no environment API."""
