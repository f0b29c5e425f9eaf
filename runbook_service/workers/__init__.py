"""Workers: take runs out of the queue and execute them in warm processes."""
