"""What `stagebench history` needs: times over many saved runs."""
