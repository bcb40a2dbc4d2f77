"""Tests of imgsync.oci.http.http2."""
