# deny.py NAME=NUMBER... COMMAND...: runs the command where these system calls
# fail with EPERM, by a seccomp filter, as in a container.
import ctypes
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2
LOAD, JEQ, RET = 0x20, 0x15, 0x06
ALLOW, ERRNO_EPERM = 0x7FFF0000, 0x00050001

args = sys.argv[1:]
numbers = []
while "=" in args[0]:
    numbers.append(int(args.pop(0).partition("=")[2]))
code = [(LOAD, 0, 0, 0)]
for at, nr in enumerate(numbers):
    code.append((JEQ, len(numbers) - at, 0, nr))
code += [(RET, 0, 0, ALLOW), (RET, 0, 0, ERRNO_EPERM)]
text = ctypes.create_string_buffer(
    b"".join(struct.pack("=HBBI", *c) for c in code))
prog = ctypes.create_string_buffer(
    struct.pack("@HP", len(code), ctypes.addressof(text)))
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, MODE_FILTER, ctypes.addressof(prog), 0, 0):
    sys.exit("no seccomp filter here: " + os.strerror(ctypes.get_errno()))
os.execvp(args[0], args)
