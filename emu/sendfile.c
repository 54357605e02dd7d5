#include "config.h"

#include "call.h"
#include "family.h"

ssize_t
kmap_sendfile(int out, int in, off_t *off, size_t n)
{
	return kmap_ret(kmap_real.sendfile(out, in, off, n));
}

KMAP_EXPORT ssize_t
sendfile(int out, int in, off_t *off, size_t n)
{
	return kmap_errno(kmap_sendfile(out, in, off, n));
}
KMAP_SELF(sendfile);
KMAP_ALIAS_OF(sendfile64, sendfile);

ssize_t
kmap_splice(int in, off64_t *inoff, int out, off64_t *outoff, size_t n,
	unsigned int flags)
{
	return kmap_ret(kmap_real.splice(in, inoff, out, outoff, n, flags));
}

KMAP_EXPORT ssize_t
splice(int in, off64_t *inoff, int out, off64_t *outoff, size_t n,
	unsigned int flags)
{
	return kmap_errno(kmap_splice(in, inoff, out, outoff, n, flags));
}
KMAP_SELF(splice);

ssize_t
kmap_tee(int in, int out, size_t n, unsigned int flags)
{
	return kmap_ret(kmap_real.tee(in, out, n, flags));
}

KMAP_EXPORT ssize_t
tee(int in, int out, size_t n, unsigned int flags)
{
	return kmap_errno(kmap_tee(in, out, n, flags));
}
KMAP_SELF(tee);

ssize_t
kmap_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned int flags)
{
	return kmap_ret(kmap_real.vmsplice(fd, iov, n, flags));
}

KMAP_EXPORT ssize_t
vmsplice(int fd, const struct iovec *iov, size_t n, unsigned int flags)
{
	return kmap_errno(kmap_vmsplice(fd, iov, n, flags));
}
KMAP_SELF(vmsplice);

ssize_t
kmap_copy_file_range(int in, off64_t *inoff, int out, off64_t *outoff, size_t n,
	unsigned int flags)
{
	return kmap_ret(
		kmap_real.copy_file_range(in, inoff, out, outoff, n, flags));
}

KMAP_EXPORT ssize_t
copy_file_range(int in, off64_t *inoff, int out, off64_t *outoff, size_t n,
	unsigned int flags)
{
	return kmap_errno(
		kmap_copy_file_range(in, inoff, out, outoff, n, flags));
}
KMAP_SELF(copy_file_range);
