"""OCI image layouts and archives as image stores."""
