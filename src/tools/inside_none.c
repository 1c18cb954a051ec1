/* Stands in for tools/inside.c where that is not built yet: no applets. */
#include "tools/inside.h"

const struct jail_applet inside_applets[] = {{.name = ""}};
const size_t inside_napplets = 0;
