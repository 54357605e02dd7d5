#include "config.h"
#include "kid.h"
