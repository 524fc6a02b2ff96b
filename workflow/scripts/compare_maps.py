"""Compare the maps of the validation with that of plane waves (rule compare_maps)."""

import numpy as np
from temdenoise.foundation.files import read_json, write_table
from temdenoise.foundation.jobs import job
from temdenoise.groundtruth.validation import accuracy
from temdenoise.images.storage import read_images

with job(snakemake) as say:
    given, variants = snakemake.input, snakemake.params.variants
    maps = {
        variant: np.asarray(read_images(path).data, dtype=np.float64)
        for variant, path in zip(variants, given.maps, strict=True)
    }
    rows = accuracy(maps, dict(zip(variants, map(read_json, given.summaries), strict=True)))
    write_table(snakemake.output.table, rows)
    say(f"as configured: {100 * rows[0]['rms_over_std']:.1f} % from plane waves")
