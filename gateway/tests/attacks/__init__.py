"""What a stranger may try with a URL, against real sockets and a real DNS server.

The resolver, the check of addresses and the fetcher are the real ones. Only one thing is
simulated: that the addresses 127.1.0.0/16 of this machine belong to the public internet.
"""
