# Tests of the kind "model".
dist_check_SCRIPTS += t1900-models.t
TESTS += t1900-models.t
EXTRA_DIST += \
	$(top_srcdir)/doc/model/mem.pml \
	$(top_srcdir)/doc/model/wake.pml \
	$(top_srcdir)/doc/model/switch.pml \
	$(top_srcdir)/doc/model/consent.pml
