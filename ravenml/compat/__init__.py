"""What plugins written for ravenML 1 import: they run unchanged.

The modules here hold what those plugins call and ravenML has no other place for.  ``ravenml/renamed.py``
finds them under the names that ravenML 1 had, and warns once with the new one:

====================================  ==============================================================
in ravenML 1                          here
====================================  ==============================================================
``ravenml.utils.question``            :mod:`ravenml.compat.prompts`: questions, spinners
``ravenml.options``                   :mod:`ravenml.compat.prompts`: ``verbose_opt``
``ravenml.utils.local_cache``         :mod:`ravenml.compat.local_cache`: ``LocalCache``, ``RMLCache``
``ravenml.data.interfaces``           :mod:`ravenml.compat.datasets`: ``Dataset``
``ravenml.utils.dataset``             :mod:`ravenml.compat.datasets`: ``get_dataset`` and its like
``ravenml.utils.imageset``            :mod:`ravenml.compat.datasets`: image sets, of which there are none
``ravenml.utils.config``              :mod:`ravenml.compat.buckets`: ``get_config``
``ravenml.utils.aws``                 :mod:`ravenml.compat.buckets`: uploads
``ravenml.utils.save``                :mod:`ravenml.compat.buckets`: the same uploads, by an older name
``ravenml.utils.git``                 :mod:`ravenml.compat.git`: commit and changes of a checkout
====================================  ==============================================================

New plugins use none of this; ``docs/plugins.md`` says what to use instead.
"""
