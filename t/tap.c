#include "config.h"
#include "tap.h"
