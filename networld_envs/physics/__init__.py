"""Pure functions on arrays: radio, queues, topologies. Nothing here knows an environment API."""
