"""Uploads over the network, in parts: begun, gone on with wherever they were broken off, completed or given up."""
