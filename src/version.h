/* Which Kmap this is. */
#ifndef KMAP_VERSION_H
#define KMAP_VERSION_H

extern const char kmap_version[];

#endif
