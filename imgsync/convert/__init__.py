"""
The files of other mirroring tools become ours. Pure but for reading the files; nothing here prints or writes.

A format is one module with NAME, `recognises` and `convert`; `formats` lists them. A fifth is one more module and one line there.
"""
