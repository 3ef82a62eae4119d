"""Watch buckets for videos that other tools put there.

Listing is the truth: a tick lists a few pages of a watched prefix in the order of the store, compares each with the
videos that are known in one query, takes in what is new and has settled, and writes down how far it is in the same
transaction. So it may be killed at any moment, and costs the same memory for any number of keys. Notifications are
hints, which make a key be looked at sooner.
"""
